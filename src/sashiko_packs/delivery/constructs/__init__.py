"""The pipeline in the tools' account: from a merge to the environments."""
