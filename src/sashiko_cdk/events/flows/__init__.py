"""What Step Functions does: a state machine a file, in Amazon's States Language with JSONata."""
