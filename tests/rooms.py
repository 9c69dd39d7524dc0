"""The order of the rooms in each package: test_rooms.py holds the code to it, test_docs.py the documentation."""

# From the bottom upwards. Several names in one entry are one floor: they do not import each other.
ORDER = {
    "axonem_eval": """errors lazy <
        spec file_kinds processes progress extras sizes union_find version <
        files submission_rule <
        volumes <
        sampling skeletons <
        skeletonize diagnosis scoring <
        report viewer sandbox client workshop <
        cli synthetic""",
    "evalserver": """env cache log_mask log_format csv_text unavailable disk <
        front embedded <
        jobs <
        site <
        accounts <
        uploads <
        benchmarks <
        workshop <
        submissions <
        submissions.evaluation <
        submissions.results <
        leaderboard <
        organisers <
        api""",
}
