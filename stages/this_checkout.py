"""Importing this first makes a stage run the code beside it, whichever checkout is installed.

DVC's experiments run in temporary copies; there the package that is installed belongs to another folder. Under
`reprogan repro` another process runs the stage, and this one ends here.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

if "REPROGAN_STAGES" in os.environ:
    from reprogan.warm import hand_over

    hand_over()
