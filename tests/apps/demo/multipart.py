# SPDX-License-Identifier: BSD-3-Clause
"""multipart/form-data (RFC 7578) cut into parts as the bytes come; holds at most one head or delimiter back."""

from email.message import Message

HEAD_LIMIT = 8192


def boundary(content_type):
    """The boundary of a multipart/form-data type as bytes, or None for any other type."""
    message = Message()
    message["content-type"] = content_type
    if message.get_content_type() != "multipart/form-data":
        return None
    value = message.get_boundary()
    return value.encode("latin-1") if value else None


class Splitter:
    """feed() the body; each part's data goes to feed() of what open_part(name) returned. ValueError: no such form."""

    def __init__(self, boundary_bytes, open_part):
        self.delimiter = b"\r\n--" + boundary_bytes
        # The first delimiter stands at the start of the body, without the CRLF that belongs to the others.
        self.held = b"\r\n"
        self.open_part = open_part
        self.part = None
        self.step = self.preamble

    def feed(self, data):
        self.held += data
        while self.step():
            pass

    def end(self):
        if self.step != self.epilogue:
            raise ValueError("it ends before its last boundary")

    def preamble(self):
        return self.up_to_delimiter(None)

    def data(self):
        return self.up_to_delimiter(self.part)

    def up_to_delimiter(self, sink):
        at = self.held.find(self.delimiter)
        # Without a delimiter, as many bytes as could be the start of one have to wait for the next piece.
        sure = at if at >= 0 else max(0, len(self.held) - len(self.delimiter) + 1)
        if sink and sure:
            sink.feed(self.held[:sure])
        self.held = self.held[sure:]
        if at < 0:
            return False
        self.held = self.held[len(self.delimiter):]
        self.step = self.after_delimiter
        return True

    def after_delimiter(self):
        if len(self.held) < 2:
            return False
        if self.held.startswith(b"--"):
            self.step = self.epilogue
        elif self.held.startswith(b"\r\n"):
            self.held = self.held[2:]
            self.step = self.head
        else:
            raise ValueError("a boundary is followed by neither a line end nor --")
        return True

    def head(self):
        end = self.held.find(b"\r\n\r\n")
        if end < 0:
            if len(self.held) > HEAD_LIMIT:
                raise ValueError("the head of a part is too long")
            return False
        message = Message()
        for line in self.held[:end].decode("utf-8", "replace").split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "content-disposition":
                message["content-disposition"] = value.strip()
        name = message.get_filename() or message.get_param("name", header="content-disposition") or "part"
        self.part = self.open_part(str(name))
        self.held = self.held[end + 4:]
        self.step = self.data
        return True

    def epilogue(self):
        self.held = b""
        return False
