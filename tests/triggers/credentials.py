"""What the app and its callers have agreed on."""

from __future__ import annotations

SECRET = "a-secret-for-tests-only-0123456789"
QSTASH_CURRENT = "sig_4fLq8ZtXw2RkV9mBs6HyPcN3dTgE"
QSTASH_NEXT = "sig_9tGd5KxWq7LzC2vRn8JbFhM4uSaY"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AUDIENCE = "https://app.example"
SERVICE_ACCOUNT = "scheduler@my-project.iam.gserviceaccount.com"
REPOSITORY = "owner/name"
