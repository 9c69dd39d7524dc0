"""`python -m axonem_eval.cli`."""

import sys

from axonem_eval.cli.main import main

sys.exit(main())
