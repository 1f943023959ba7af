"""The Glue job from raw to curated: plain files that need pyspark and nothing else."""
