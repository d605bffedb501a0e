#!/usr/bin/env python3
"""image.py NAME OUT.tar CONFIG-JSON LAYER.tar...: packs layers as an image that `ctr images import` takes."""
import hashlib
import io
import json
import sys
import tarfile


def digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as layer:
        while chunk := layer.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def main(name, out, config, *layers):
    ids = [digest(layer) for layer in layers]
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{found}" for found in ids]}
    image = {"architecture": "amd64", "os": "linux", "config": json.loads(config), "rootfs": rootfs}
    image = json.dumps(image, sort_keys=True).encode()
    config_name = hashlib.sha256(image).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{found}.tar" for found in ids]}]
    with tarfile.open(out, "w") as archive:
        for path, found in zip(layers, ids):
            archive.add(path, f"{found}.tar")
        for member, data in ((config_name, image), ("manifest.json", json.dumps(manifest).encode())):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


main(*sys.argv[1:])
