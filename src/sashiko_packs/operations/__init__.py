"""Operations: what only an account needs after the deploy."""
