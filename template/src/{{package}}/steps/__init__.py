"""Steps of the pipeline; pipelines/finetune.py names them by module."""
