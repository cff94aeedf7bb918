"""People and programs that look: JSON, Prometheus metrics and pages. Read-only views; a GET never causes work."""
