"""Rules that a template must keep: a finding fails `cdk synth`.

cdk-nag's AwsSolutions pack holds what is common to AWS: wildcards in identity policies, TLS, public
buckets, access logs, key rotation, open ingress. Ours hold what it does not look at.
"""
