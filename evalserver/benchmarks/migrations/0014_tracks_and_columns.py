from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("benchmarks", "0013_dense_ground_truth_and_headline"),
    ]

    operations = [
        migrations.AddField(
            model_name="benchmark",
            name="further_columns",
            field=models.CharField(blank=True, help_text="More figures to show (docs/metric.md)", max_length=200),
        ),
        migrations.AddField(
            model_name="benchmark",
            name="phases_are_tracks",
            field=models.BooleanField(default=False, help_text="All phases are the columns of one leaderboard"),
        ),
    ]
