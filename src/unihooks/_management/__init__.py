"""The verbs of `dispatcher.webhooks`, `dispatcher.log` and the operator."""
