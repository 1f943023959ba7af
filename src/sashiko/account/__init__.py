"""Operations on an account: readiness checks, audit, cost, access, runs, promotion."""
