"""Archives from Kaggle, the web, or this machine: verified, and resumed where a download broke off."""

import contextlib
import hashlib
import io
import os
import shutil
import zipfile
from pathlib import Path

from chest_transfer.data.archive_packing import holds_archives, pack
from chest_transfer.data.archives import Archive
from chest_transfer.data.catalog import Dataset, Kaggle, Web
from chest_transfer.errors import ChestTransferError
from chest_transfer.files import atomic_write, write_text

TAR_AND_ZIP = ("", ".zip", ".tar", ".tar.gz", ".tgz")


def cache_folder() -> Path:
    """Return the folder of downloads, $CHEST_TRANSFER_CACHE: outside the project, so that they outlive it."""
    return Path(os.environ.get("CHEST_TRANSFER_CACHE", "~/.cache/chest-transfer")).expanduser()


def fetch(dataset: Dataset, source: str, target: Path, checksums: Path) -> None:
    """Write the archive of a dataset to `target` as one zip file, complete or not at all.

    Args:
        dataset: Dataset of the catalog.
        source: str, `kaggle` for the public archive; else the path of an archive, of a folder with the content of the
            archive, or of a folder of archives named like the dataset or like Kaggle's archive.
        target: Path of the zip file to write.
        checksums: Path of a text file of `<sha256>  <dataset>` lines. The first download of a dataset adds its line;
            every later one must match it.

    Raises:
        ChestTransferError: no credentials, access denied, not found, no network, damaged, or another file than before.
    """
    with atomic_write(target) as aside:
        if source == "kaggle":
            downloaded, digest = _download(dataset.origin)
            _check_recorded_digest(checksums, dataset.name, digest, downloaded)
            pack(downloaded, aside) if holds_archives(downloaded) else _link_or_copy(downloaded, aside)
        else:
            pack(_existing(dataset, source), aside)
        with Archive(aside) as archive:
            if not archive.members:
                raise ChestTransferError(f"'{source}' holds no files; check `source` and `sources` in params.yaml")


def _existing(dataset: Dataset, source: str) -> Path:
    path = local_archive(dataset, Path(source).expanduser())
    if not path.exists():
        raise ChestTransferError(
            f"no archive of '{dataset.name}' at '{source}' (allowed: phantom, kaggle, or a path that exists); "
            f"correct `source` or `sources.{dataset.name}` in params.yaml"
        )
    return path


def local_archive(dataset: Dataset, path: Path) -> Path:
    """Return the archive of a dataset in a folder of archives; the path itself where it is none."""
    names = [dataset.name, *([dataset.origin.slug.split("/")[1]] if isinstance(dataset.origin, Kaggle) else [])]
    within = [path / (name + suffix) for name in names for suffix in TAR_AND_ZIP] if path.is_dir() else []
    return next((candidate for candidate in within if candidate.exists()), path)


def _download(origin: Kaggle | Web) -> tuple[Path, str]:
    """Return the downloaded file and its SHA-256.

    Both are kept, so that a second call needs no network; it reads the file again, to notice damage.
    """
    file = cache_folder() / (origin.file if isinstance(origin, Web) else origin.slug.replace("/", "_") + ".zip")
    digest_file = file.with_name(file.name + ".sha256")
    if not (file.exists() and digest_file.exists()):
        file.parent.mkdir(parents=True, exist_ok=True)
        print(f"downloading to {file}; if it breaks off, the same command goes on where it stopped", flush=True)
        with _download_errors(origin, file):
            _fetch_to(origin, file)
        if not zipfile.is_zipfile(file):
            file.unlink()
            raise ChestTransferError(
                f"what was downloaded from {_address(origin)} is not a complete zip archive; run it again"
            )
        digest_file.write_text(sha256_of(file))
        return file, digest_file.read_text()
    digest, recorded = sha256_of(file), digest_file.read_text().strip()
    if digest != recorded:
        raise ChestTransferError(
            f"'{file}' was damaged after its download (sha256 {digest}, then {recorded}); delete it and run it again"
        )
    return file, digest


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _link_or_copy(file: Path, target: Path) -> None:
    """Link a file where the disk allows it: NIH's 45 GB then exist once for three datasets and DVC's cache."""
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, target)


def _fetch_to(origin: Kaggle | Web, file: Path) -> None:
    # Imported late: the package authenticates when it is imported, and prints advice if it cannot.
    with contextlib.redirect_stdout(io.StringIO()):
        import kaggle

    # The client's own download_file resumes after a cut and checks the size; it serves any HTTP response.
    if isinstance(origin, Web):
        import requests

        with requests.get(origin.url, stream=True, timeout=60) as response:
            response.raise_for_status()
            _check_free_space(response, file)
            kaggle.api.download_file(response, str(file), None, quiet=False, resume=True)
        return

    from kagglesdk import KaggleClient
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest
    from kagglesdk.kaggle_env import get_access_token_from_env

    values = kaggle.api.config_values
    token = get_access_token_from_env()[0] or values.get("token")
    if not token and not (values.get("username") and values.get("key")):
        raise ChestTransferError(
            "no Kaggle credentials; create a token at https://www.kaggle.com/settings and save it as "
            "~/.kaggle/access_token, or set KAGGLE_API_TOKEN (or KAGGLE_USERNAME and KAGGLE_KEY)"
        )
    # Not kaggle.api.build_kaggle_client, which ignores KAGGLE_API_ENVIRONMENT.
    with KaggleClient(username=values.get("username"), password=values.get("key"), api_token=token) as client:
        request = ApiDownloadDatasetRequest()
        request.owner_slug, request.dataset_slug = origin.slug.split("/")
        response = client.datasets.dataset_api_client.download_dataset(request)
        _check_free_space(response, file)
        kaggle.api.download_file(response, str(file), client.http_client(), quiet=False, resume=True)


def _check_free_space(response, file: Path) -> None:
    present = file.stat().st_size if file.exists() else 0
    missing = int(response.headers.get("Content-Length", 0)) - present
    free = shutil.disk_usage(file.parent).free
    if missing > free:
        raise ChestTransferError(
            f"the disk is full: {file.parent} has {free / 1e9:.1f} GB free, the download needs {missing / 1e9:.1f} GB; "
            "free some space, or set CHEST_TRANSFER_CACHE to another disk"
        )


@contextlib.contextmanager
def _download_errors(origin: Kaggle | Web, file: Path):
    import requests

    by_hand = "fetch it with a browser and give the archive under `sources` in params.yaml"
    remedies = {
        401: "the credentials are wrong or expired; create a new token at https://www.kaggle.com/settings",
        403: f"open {_address(origin)} in a browser, signed in, and accept the dataset's terms",
        404: "the dataset has moved; look it up and give its archive under `sources` in params.yaml",
    }
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code
        remedy = by_hand if isinstance(origin, Web) else remedies.get(status, "try again later")
        raise ChestTransferError(f"{_address(origin)} answered {status}; {remedy}") from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise ChestTransferError(
            f"no connection to {_address(origin)} ({type(error).__name__}); check the network and run it again: "
            f"it goes on where it stopped; or give the archive under `sources` in params.yaml"
        ) from None
    except ValueError as error:  # raised by the client for a wrong size
        file.unlink(missing_ok=True)
        raise ChestTransferError(f"{_address(origin)}: {error}; run it again") from None


def _address(origin: Kaggle | Web) -> str:
    return f"https://www.kaggle.com/datasets/{origin.slug}" if isinstance(origin, Kaggle) else origin.url


def _check_recorded_digest(checksums: Path, name: str, digest: str, file: Path) -> None:
    lines = checksums.read_text().splitlines() if checksums.exists() else []
    known = {entry: recorded for recorded, entry in (line.split() for line in lines if line.strip())}
    if name not in known:
        write_text(checksums, "".join(f"{line}\n" for line in [*lines, f"{digest}  {name}"]))
    elif known[name] != digest:
        raise ChestTransferError(
            f"'{file}' has sha256 {digest}, {checksums} records {known[name]}: it is damaged or another version; "
            f"delete it and run again, or delete that line to accept it"
        )
