"""Receivers of alerts: mail, webhooks, the services that apprise knows, and monitors that expect pings."""
