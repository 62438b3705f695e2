"""The verbs: report, issue, check, authenticate. Each works on a connection whose transaction the caller owns."""
