"""What an account has before the first deploy: policies that limit CloudFormation and all roles."""
