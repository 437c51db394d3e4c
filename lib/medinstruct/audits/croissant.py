"""Croissant metadata (MLCommons, version 1.0): the file of a dataset with its hash, and the columns that are in it."""

from collections.abc import Mapping
from typing import Any

# the context that the specification gives, word for word: a reader warns of any other
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
FIELDS = {
    "id": "sc:Text",
    "type": "sc:Text",
    "topic": "sc:Text",
    "view": "sc:Text",
    "difficulty": "sc:Integer",
    "instruction": "sc:Text",
    "input": "sc:Text",
    "output": "sc:Text",
    "task": "sc:Text",
}


def croissant(
    known: Mapping[str, Any], *, name: str = "medinstruct", url: str = "", date: str = ""
) -> dict[str, Any]:
    """The metadata of a dataset, from the facts of its run. `url` and `date` (of publication, as YYYY-MM-DD) are known once it is
    published; until then they are left out. The version is the hash of the data, since nobody has given it a number."""
    title = f"{known['examples']:,} medical instructions with responses written by {', '.join(known['models'])}"
    cited = {
        "title": f"{name}: {title}",
        "note": f"sha256 {known['sha256']}",
        "url": url,
        "year": date[:4],
    }
    file = {
        "@type": "cr:FileObject",
        "@id": known["file"],
        "name": known["file"],
        "contentUrl": known["file"],
        "contentSize": f"{known['bytes']} B",
        "encodingFormat": "application/jsonlines",
        "sha256": known["sha256"],
    }
    records = {
        "@type": "cr:RecordSet",
        "@id": "examples",
        "name": "examples",
        "key": {"@id": "examples/id"},
        "field": [
            _field(known["file"], column, kind)
            for column, kind in FIELDS.items()
            if column in known["columns"]
        ],
    }
    told = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "url": url,
        "description": f"{title}.",
        "version": f"0.0.0+{known['sha256'][:12]}",
        "datePublished": date,
        "isLiveDataset": False,
        "citeAs": f"@misc{{{name}, {', '.join(f'{key}={{{value}}}' for key, value in cited.items() if value)}}}",
        "license": list(dict.fromkeys(one.url or one.licence for one in known["licences"])),
        "distribution": [file],
        "recordSet": [records],
    }
    return {key: value for key, value in told.items() if value != ""}


def _field(file: str, column: str, kind: str) -> dict[str, Any]:
    source = {"fileObject": {"@id": file}, "extract": {"column": column}}
    return {
        "@type": "cr:Field",
        "@id": f"examples/{column}",
        "name": column,
        "dataType": kind,
        "source": source,
    }
