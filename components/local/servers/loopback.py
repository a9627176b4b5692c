"""HTTP to the servers of this machine."""

import urllib.request

# Whatever the environment says of proxies: loopback never goes through one.
opened = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
