from ..pure.envelope import Envelope as Envelope
