"""Ask the service in this container how it is: `healthcheck.py PORT PATH`.

Exits with 0 when the page answers 200, else with 1 and the reason. The images have no
curl. It asks over loopback, so a certificate is not checked: it names another host.
"""

import http.client
import os
import ssl
import sys

LIMIT_S = 3


def main() -> int:
    """Ask once."""
    port, path = int(sys.argv[1]), sys.argv[2]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    if os.environ.get("TANDEM_TLS_CERTIFICATE"):
        anyone = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=LIMIT_S, context=anyone
        )
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        answer = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 1
    sys.stdout.write(f"{response.status} {answer}\n")
    return 0 if response.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
