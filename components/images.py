"""The images that the components run in, fixed when a pipeline is compiled.

They hold `consort`, these components and kfp, so that a step starts without installing anything.
"""

import os

from consort import __version__

CONSORT_IMAGE = os.environ.get("CONSORT_IMAGE") or f"docker.io/consort/consort:{__version__}"
"""No torch in it: plan, launch, evaluate, report."""
CONSORT_TORCH_IMAGE = os.environ.get("CONSORT_TORCH_IMAGE") or f"docker.io/consort/consort-torch:{__version__}"
