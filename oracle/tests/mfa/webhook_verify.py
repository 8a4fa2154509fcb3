"""Checks a webhook's signature with PyPI's standardwebhooks: JSON with secret, headers and body on standard input."""

import json
import sys

from standardwebhooks import Webhook

asked = json.load(sys.stdin)
print(json.dumps(Webhook(asked["secret"]).verify(asked["body"], asked["headers"])))
