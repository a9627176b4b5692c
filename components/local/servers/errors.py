"""What went wrong with a server, in words for the person at the terminal."""


class ServerFault(Exception):  # noqa: N818 - the project's word for a fault at run time
    """A fault at run time (exit status 1). The message names the server, the cause and, where there is one, its log."""
