from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("benchmarks", "0013_dense_ground_truth_and_headline"),
    ]

    operations = [
        migrations.AddField(
            model_name="benchmark",
            name="further_columns",
            field=models.CharField(
                blank=True,
                help_text="Figures that boards show beside those of the rule: erl_axonem2021_nm, nerl_5, say (docs/metric.md)",
                max_length=200,
            ),
        ),
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
