"""Who is told: MQTT, OpenMetrics, a command of the user's. None of them ever stops the scoring."""
