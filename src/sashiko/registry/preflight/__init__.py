"""The check before a model is served: it reads a registered version and changes nothing.

It runs in a Lambda function and on the deploying machine, and ships as plain files: the standard
library and boto3 alone.
"""
