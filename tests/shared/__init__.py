"""What several test files share: small problems with known answers, tables, runs of the workflow."""
