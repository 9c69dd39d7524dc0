from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("benchmarks", "0011_dense_ground_truth_and_headline"),
    ]

    operations = [
        migrations.AddField(
            model_name="benchmark",
            name="phases_are_tracks",
            field=models.BooleanField(
                default=False,
                help_text="The leaderboard begins with all phases as columns of one table, methods as rows, and their mean",
                verbose_name="phases are tracks",
            ),
        ),
    ]
