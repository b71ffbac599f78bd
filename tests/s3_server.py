"""An S3 store on this machine: moto's, for Debian packages none.

It keeps objects in memory and lets in whoever comes: what a real one refuses is not seen here.
"""

import os
import subprocess
import sys
from importlib.util import find_spec

from conftest import free_port
from mosquitto_server import until
from servers import missing


class S3:
    """A store on loopback with one bucket; `environment` leads a process of ours there."""

    def __init__(self, bucket):
        if any(find_spec(name) is None for name in ("moto", "flask", "s3fs", "boto3")):
            missing("no S3 store here (pip install 'moto[s3]' flask flask-cors s3fs boto3)")
        self.bucket, self.port, self.process = bucket, free_port(), None
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
        }  # fmt: skip

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", self.port],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "MOTO_S3_CUSTOM_ENDPOINTS": self.url},
        )  # fmt: skip
        try:
            until(self._made, self.process)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def client(self):
        """What asks it without any code of ours."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="a",
            aws_secret_access_key="b",
        )  # fmt: skip

    def _made(self):
        import botocore.exceptions

        try:
            self.client.create_bucket(Bucket=self.bucket)
        except botocore.exceptions.BotoCoreError:  # it does not listen yet
            return False
        return True

    def names(self, under=""):
        """The keys of all objects, by the store's own listing."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=under
        )
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def kill(self):
        """As a store that is gone."""
        self.process.kill()
        self.process.wait()
