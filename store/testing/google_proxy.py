"""Google Cloud Storage's XML API before a server that speaks S3: the same requests and answers, but for names of headers.

What is written only where there is none says `x-goog-if-generation-match: 0` there and `If-None-Match: *` here, and every answer has an
`x-goog-generation` there.
"""

import failing_proxy

S3_ACCESS = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"


class GoogleHandler(failing_proxy.Handler):
    def parse_request(self):
        if not super().parse_request():
            return False
        condition = self.headers.get("x-goog-if-generation-match")
        for name in [name for name in self.headers if name.lower().startswith("x-goog-")]:
            del self.headers[name]
        if condition == "0":
            self.headers["If-None-Match"] = "*"
        del self.headers["Authorization"]
        self.headers["Authorization"] = S3_ACCESS
        return True

    def send_response(self, code, message=None):
        super().send_response(code, message)
        self.send_header("x-goog-generation", "1")


def serve(target):
    """A server that runs until it is shut down, on a free port."""
    handler = type("Google", (GoogleHandler,), {"target": target, "faults": failing_proxy.Faults({})})
    return failing_proxy.Server(("127.0.0.1", 0), handler)
