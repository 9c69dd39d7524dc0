"""Tasks of benchmarks."""

from celery import shared_task

from evalserver.benchmarks import images, registration, skeleton_workers


@shared_task
def register_ground_truth_task(ground_truth_id: int) -> None:
    """Skeletons, figures and pictures of a new ground truth."""
    registration.register_ground_truth(ground_truth_id)


@shared_task
def skeleton_part_task(name: str, work_dir: str, number: int) -> None:
    """One part of the skeletons of a large volume."""
    skeleton_workers.run_part(name, work_dir, number)


@shared_task
def make_image_view_task(image_view_id: int) -> None:
    """The EM of a volume, in the form that the viewer reads."""
    images.make_image_view(image_view_id)
