#!/usr/bin/env python3
"""image.py OUT.tar NAME CONFIG-JSON LAYER.tar... [-- NAME CONFIG-JSON LAYER.tar...]...

Packs layers as images, all in one file, that `ctr images import` takes. A layer that several images have is packed once.
"""
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


def split(words):
    images = [[]]
    for word in words:
        if word == "--":
            images.append([])
        else:
            images[-1].append(word)
    return images


def main(out, *words):
    digests, manifest = {}, []
    with tarfile.open(out, "w") as archive:

        def add(name, data):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

        for name, config, *layers in split(words):
            for layer in layers:
                if layer not in digests:
                    digests[layer] = digest(layer)
                    archive.add(layer, f"{digests[layer]}.tar")
            rootfs = {"type": "layers", "diff_ids": [f"sha256:{digests[layer]}" for layer in layers]}
            image = {"architecture": "amd64", "os": "linux", "config": json.loads(config), "rootfs": rootfs}
            image = json.dumps(image, sort_keys=True).encode()
            config_name = hashlib.sha256(image).hexdigest() + ".json"
            add(config_name, image)
            files = [f"{digests[layer]}.tar" for layer in layers]
            manifest.append({"Config": config_name, "RepoTags": [name], "Layers": files})
        add("manifest.json", json.dumps(manifest).encode())


main(*sys.argv[1:])
