"""The types on the agent's sockets: the HTTP API that the console and lvsctl use, and what lvsd says to pulse and nanny.

Owns shapes only, offered from here; each subject has a module of its own.  Everything that comes off a socket is decoded into one of these
by msgspec, which checks every field's type; nothing downstream sees a raw dict.  Durations end in ``_s``; ``at`` is seconds since the
epoch.
"""

from __future__ import annotations

from lvsagent.wire.base import Wire as Wire
from lvsagent.wire.checks import CheckInfo as CheckInfo
from lvsagent.wire.checks import Checks as Checks
from lvsagent.wire.checks import Explanation as Explanation
from lvsagent.wire.checks import TrialReport as TrialReport
from lvsagent.wire.checks import TrialRequest as TrialRequest
from lvsagent.wire.checks import TrialResult as TrialResult
from lvsagent.wire.config import DiagnosticInfo as DiagnosticInfo
from lvsagent.wire.config import PeerPlan as PeerPlan
from lvsagent.wire.config import PlanStep as PlanStep
from lvsagent.wire.config import Problem as Problem
from lvsagent.wire.config import Receipt as Receipt
from lvsagent.wire.config import RefusalInfo as RefusalInfo
from lvsagent.wire.directors import AddressState as AddressState
from lvsagent.wire.directors import FailoverRequest as FailoverRequest
from lvsagent.wire.directors import HeartbeatLinkInfo as HeartbeatLinkInfo
from lvsagent.wire.directors import PeerInfo as PeerInfo
from lvsagent.wire.directors import RoleInfo as RoleInfo
from lvsagent.wire.doctor import DoctorFinding as DoctorFinding
from lvsagent.wire.doctor import DoctorReport as DoctorReport
from lvsagent.wire.doctor import DoctorRequest as DoctorRequest
from lvsagent.wire.doctor import DoctorResult as DoctorResult
from lvsagent.wire.explain import CheckResult as CheckResult
from lvsagent.wire.guard import GuardInfo as GuardInfo
from lvsagent.wire.guard import GuardRequest as GuardRequest
from lvsagent.wire.guard import TakeOutInfo as TakeOutInfo
from lvsagent.wire.health import Held as Held
from lvsagent.wire.health import Released as Released
from lvsagent.wire.health import ReleaseRequest as ReleaseRequest
from lvsagent.wire.history import RevisionInfo as RevisionInfo
from lvsagent.wire.history import Revisions as Revisions
from lvsagent.wire.load import LoadInfo as LoadInfo
from lvsagent.wire.overrides import OverrideInfo as OverrideInfo
from lvsagent.wire.overrides import OverrideRequest as OverrideRequest
from lvsagent.wire.overrides import OverridesInfo as OverridesInfo
from lvsagent.wire.pairing import PairingInfo as PairingInfo
from lvsagent.wire.pairing import PairingRequest as PairingRequest
from lvsagent.wire.rehearsals import Rehearsal as Rehearsal
from lvsagent.wire.rehearsals import RehearsalRequest as RehearsalRequest
from lvsagent.wire.rehearsals import Rehearsals as Rehearsals
from lvsagent.wire.rehearsals import RunningRehearsal as RunningRehearsal
from lvsagent.wire.state import Alert as Alert
from lvsagent.wire.state import ConfigState as ConfigState
from lvsagent.wire.state import DataPlaneState as DataPlaneState
from lvsagent.wire.state import Event as Event
from lvsagent.wire.state import Events as Events
from lvsagent.wire.state import ProcessInfo as ProcessInfo
from lvsagent.wire.state import State as State
from lvsagent.wire.sync import ConflictInfo as ConflictInfo
from lvsagent.wire.sync import ConflictText as ConflictText
from lvsagent.wire.sync import Difference as Difference
from lvsagent.wire.sync import Fingerprints as Fingerprints
from lvsagent.wire.sync import PeerReceipt as PeerReceipt
from lvsagent.wire.sync import SyncInfo as SyncInfo
from lvsagent.wire.sync import SyncRequest as SyncRequest
from lvsagent.wire.traffic import CountersInfo as CountersInfo
from lvsagent.wire.traffic import ForeignService as ForeignService
from lvsagent.wire.traffic import RealServerState as RealServerState
from lvsagent.wire.traffic import VirtualServerState as VirtualServerState
