"""The app of submissions."""

from django.apps import AppConfig


class SubmissionsConfig(AppConfig):
    """Submissions, and the jobs that belong to them."""

    name = "evalserver.submissions"
    verbose_name = "Submissions"

    def ready(self) -> None:
        from evalserver.jobs import JobKind, register_job
        from evalserver.submissions.evaluation.job import stop_submission
        from evalserver.submissions.evaluation.notifications import end_without_result
        from evalserver.submissions.models import Comparison, Diagnosis, ErrorPictures, Export, Submission

        register_job(JobKind(Submission, named_by=("team",), release=end_without_result, stop=stop_submission))
        register_job(JobKind(Comparison, named_by=("a", "b")))
        register_job(JobKind(Export, named_by=("benchmark",)))
        # Diagnoses come after every score, on purpose.
        register_job(JobKind(Diagnosis, named_by=("volume_file__volume",), may_wait=True))
        register_job(JobKind(ErrorPictures, named_by=("evaluation__volume_file__volume",), may_wait=True))
