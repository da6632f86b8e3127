from ...pure.wire.envelope import Envelope as Envelope
