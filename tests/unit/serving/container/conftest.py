import sys

from tests.e2e.serving.tiny_artifact import SERVING

# The files import each other as they do in the image: as siblings.
sys.path.append(str(SERVING))
