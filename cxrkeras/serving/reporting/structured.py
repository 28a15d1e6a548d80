"""A DICOM structured report of one film: TID 1500, Measurement Report, one group per label.

Source: DICOM PS3.16, TID 1500, 1501, 300 and 4019, written by highdicom (Bridge et al., J Digit
Imaging 2022). TID 1500 is extensible: comments follow its measurements.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cxrkeras.serving.reporting import codes
from cxrkeras.serving.reporting.codes import Coded
from cxrkeras.serving.reporting.said import Algorithm, Said, digest_of, uid_of
from cxrkeras.serving.reporting.source import Source
from cxrkeras.serving.reporting.written import comments, equipment, uids

if TYPE_CHECKING:
    from highdicom import sr

_SERIES = 9301  # a number above those that machines give


def structured_report(
    source: Source,
    said: tuple[Said, ...],
    algorithm: Algorithm,
    remarks: tuple[str, ...],
    number: int,
) -> "sr.ComprehensiveSR":
    """A Comprehensive SR: preliminary, unverified, and said to be not for clinical use.

    Args:
        source: the film's header.
        said: of the film, label by label.
        algorithm: that said it.
        remarks: sentences on the film or the model.
        number: of the instance in its series, from 1.
    """
    from highdicom import sr
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    film = source.header
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(_device(algorithm)),
        procedure_reported=_concept(codes.CHEST),
        imaging_measurements=[_group(one, source, algorithm) for one in said],
    )
    for text in comments(remarks):
        report[0].ContentSequence.append(
            sr.TextContentItem(_concept(codes.COMMENT), text, sr.RelationshipTypeValues.CONTAINS)
        )
    content = digest_of(said, remarks)
    scheme = CodingSchemeIdentificationItem(
        codes.PRIVATE, name="cxrkeras", uid=uid_of("scheme"), responsible_organization="cxrkeras"
    )
    return sr.ComprehensiveSR(
        evidence=[film],
        content=report[0],
        series_number=_SERIES,
        instance_number=number,
        is_complete=True,
        coding_schemes=[scheme],
        **uids(source, algorithm, "findings", content),
        **equipment(algorithm, "findings"),
    )


def _device(algorithm: Algorithm) -> "sr.ObserverContext":
    from highdicom import sr
    from pydicom.sr.codedict import codes as dicom

    attributes = sr.DeviceObserverIdentifyingAttributes(
        uid=algorithm.uid,
        name=algorithm.name,
        manufacturer_name=algorithm.name,
        model_name=algorithm.parameters[0],
    )
    return sr.ObserverContext(dicom.DCM.Device, attributes)


def _group(
    said: Said, source: Source, algorithm: Algorithm
) -> "sr.MeasurementsAndQualitativeEvaluations":
    from highdicom import sr

    film, finding = source.header, _concept(said.code)
    point = f"threshold from: {said.origin}" if said.origin else ""
    parameters = [text for text in (*algorithm.parameters, point, said.doubt) if text]
    decisions = {True: codes.POSITIVE, False: codes.NEGATIVE}
    decision = [decisions[said.positive]] if said.positive is not None else []
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid_of("tracking", film.SOPInstanceUID, algorithm.uid, said.label), said.label
        ),
        finding_type=finding,
        algorithm_id=sr.AlgorithmIdentification(
            algorithm.name, algorithm.version, parameters, family=_concept(codes.AI)
        ),
        measurements=[
            sr.Measurement(_concept(name), value, _concept(codes.NO_UNIT))
            for name, value in _numbers(said)
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(_concept(codes.DECISION), _concept(one)) for one in decision
        ],
        source_images=[sr.SourceImageForMeasurementGroup(film.SOPClassUID, film.SOPInstanceUID)],
    )


def _numbers(said: Said) -> Iterator[tuple[Coded, float]]:
    pairs = (
        (codes.PROBABILITY, said.probability),
        (codes.ADJUSTED, said.adjusted),
        (codes.CALIBRATED, said.calibrated),
        (codes.PREVALENCE, said.prevalence),
        (codes.THRESHOLD, said.threshold),
    )
    return ((name, value) for name, value in pairs if value is not None)


def _concept(coded: Coded) -> "sr.CodedConcept":
    from highdicom import sr

    return sr.CodedConcept(coded.value, coded.scheme, coded.meaning)
