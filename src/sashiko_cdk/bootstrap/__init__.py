"""What an account has before the first deploy: the policies that limit CloudFormation and all roles."""
