"""The toolkit's handler service, as the serving image's model server starts it.

The toolkit asks torch, which is not installed in `.venv-serving`, whether there is a GPU, and
nothing else: that one answer is given here.
"""

from sagemaker_huggingface_inference_toolkit import handler_service

handler_service._is_gpu_available = lambda: False


class Service(handler_service.HuggingFaceHandlerService):
    """The model server takes the one class that a module defines."""
