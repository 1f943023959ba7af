"""Prompt injections: texts that try to turn a classifier's decision, packaged with the engine."""
