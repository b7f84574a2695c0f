"""Netctl's messages between machines: TCP, with TLS 1.3 and certificates at both ends.

Who may talk to whom: both certificates are signed by one's own CA (``ca_file``), and each names its owner's role in the
subject's OU. A program accepts only the role it expects at the other end: a checker's certificate does not pass as a
controller's. Host names are not compared: controllers are configured by address, all of them are trusted alike, and the
role says more than a name that anybody's certificate of that CA could carry.

When both ends have accepted, the listening end says so (``WELCOME``) before anything else passes: with TLS 1.3 a client
would not learn otherwise whether its own certificate was taken, and why not. ``certificates`` holds what can be said
without a socket, ``io`` the ``Streams`` port.
"""
