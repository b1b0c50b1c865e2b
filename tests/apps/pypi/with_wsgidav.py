# SPDX-License-Identifier: BSD-3-Clause
"""WsgiDAV: a folder, named by the environment, as a WebDAV share that anybody may write to."""

import os

from wsgidav.wsgidav_app import WsgiDAVApp

app = WsgiDAVApp({
    "mount_path": os.environ.get("DAV_MOUNT") or None,
    "provider_mapping": {"/": {"root": os.environ["DAV_PLACE"], "readonly": False}},
    "simple_dc": {"user_mapping": {"*": True}},
    "http_authenticator": {"domain_controller": None},
    "verbose": 1,
    "logging": {"enable": False},
    "lock_storage": True,
    "property_manager": True,
    "hotfixes": {"re_encode_path_info": True},
})
