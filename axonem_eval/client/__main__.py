"""`python -m axonem_eval.client`."""

import sys

from axonem_eval.client.cli import main

sys.exit(main())
