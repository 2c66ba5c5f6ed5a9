"""Verifies signed webhooks with the reference library of Standard Webhooks.

Usage: webhook.py FILE
FILE holds a JSON list of {"secret", "headers", "body"}. Prints how many were verified; a wrong
signature, and a right one over a changed body that is taken, end it with 1.
"""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def main(path):
    with open(path, encoding="utf-8") as file:
        deliveries = json.load(file)
    for delivery in deliveries:
        webhook = Webhook(delivery["secret"])
        webhook.verify(delivery["body"], delivery["headers"])
        changed = delivery["body"].replace("band", "bond", 1)
        try:
            webhook.verify(changed, delivery["headers"])
        except WebhookVerificationError:
            continue
        sys.exit("failed: a changed body was taken")
    print(len(deliveries), "verified")


if __name__ == "__main__":
    main(*sys.argv[1:])
