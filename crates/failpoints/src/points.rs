//! All failpoints, with their names.

macro_rules! points {
    ($($place:ident { $($point:ident $name:literal $what:literal,)* })*) => {
        /// A place in the code; its name and what has just happened there.
        #[derive(Clone, Copy)]
        pub enum Point {
            $($(
                #[doc = $what]
                $point,
            )*)*
        }

        #[cfg(feature = "armed")]
        impl Point {
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $($(Self::$point => $name,)*)*
                }
            }
        }

        /// In whose code, name, what.
        #[cfg(feature = "armed")]
        pub(crate) const ALL: &[(Place, &str, &str)] = &[$($((Place::$place, $name, $what),)*)*];
    };
}

/// Whose failpoint it is.
#[cfg(feature = "armed")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Manager,
    Agent,
}

points! {
    Manager {
        TenantCreate "tenant-create" "A tenant is made.",
        TenantUpdate "tenant-update" "A tenant is changed.",
        TenantDelete "tenant-delete" "A tenant is removed.",
        RegionCreate "region-create" "A region is made.",
        RegionArgo "region-argo" "A region is noted as one of Argo.",
        WorkflowClaim "workflow-claim" "An event for a Workflow is claimed and not sent yet.",
        WorkflowDeliver "workflow-deliver" "The answer to an event for a Workflow is noted.",
        WorkflowHooks "workflow-hooks" "Hooks that a Workflow has found are taken in.",
        WorkflowOrder "workflow-order" "The steps that a Workflow runs are noted.",
        WorkflowRound "workflow-round" "A further Workflow is found to be needed.",
        WorkflowEnd "workflow-end" "A Workflow was ended before its operation, which is paused.",
        WorkflowSilent "workflow-silent" "Nobody speaks for steps of a Workflow: their attempts are unknown, and it is asked for again.",
        BridgeHello "bridge-hello" "A bridge is noted; what an earlier one had leased is free.",
        BridgeLease "bridge-lease" "Commands are leased to a bridge.",
        BridgeFinish "bridge-finish" "A bridge's commands are done.",
        BridgeLeave "bridge-leave" "A bridge's step is settled, and it is not told yet.",
        RegionJoin "region-join" "An agent has joined; its credential is in the answer.",
        JoinTokenCreate "join-token-create" "A join token of a region is made.",
        TokenCreate "token-create" "A token is made.",
        TokenRevoke "token-revoke" "A token is revoked.",
        AdminTokenCreate "admin-token-create" "The first administrator's token is made.",
        DefinitionPut "definition-put" "An operation definition is stored.",
        DefinitionDelete "definition-delete" "An operation definition is removed.",
        SchemaPut "schema-put" "The platform's schema of environments is stored.",
        HookRetire "hook-retire" "A hook's removal is declared.",
        EnvironmentCreate "environment-create" "An environment is made, and its upsert is requested.",
        EnvironmentUpdate "environment-update" "An environment is changed, and its upsert is requested.",
        EnvironmentPurge "environment-purge" "An environment is purged.",
        LifecycleRequest "lifecycle-request" "An operation of an environment's life (suspend, backup, …) is requested.",
        OperationRequest "operation-request" "An operation with a definition is requested.",
        OperationReplay "operation-replay" "An operation that has ended is requested again.",
        OperationSteer "operation-steer" "An operation is paused, resumed or cancelled.",
        StepSteer "step-steer" "A verb on a step is carried out.",
        ApprovalAsk "approval-ask" "A verb waits for a second person.",
        ApprovalApprove "approval-approve" "A second person has approved a verb, and it is carried out.",
        PurgeAsk "purge-ask" "A purge waits for a second person.",
        PurgeApprove "purge-approve" "A second person has approved a purge, and it is carried out.",
        ApprovalReject "approval-reject" "A second person has rejected a verb.",
        ApprovalExpire "approval-expire" "Nobody decided about a verb in time.",
        HoldCreate "hold-create" "A hold by predicate is set; no operation knows it.",
        HoldLift "hold-lift" "A hold by predicate is lifted; no operation knows it.",
        HoldExpire "hold-expire" "A hold by predicate is lifted because its time has come.",
        HoldTellOne "hold-tell-one" "One operation knows of a hold, or of its end.",
        HoldTold "hold-told" "All operations know of a hold, or of its end.",
        HoldLasts "hold-lasts" "There is attention for a hold that lasts.",
        ScheduleCreate "schedule-create" "A schedule is made.",
        ScheduleUpdate "schedule-update" "A schedule is changed.",
        SchedulePause "schedule-pause" "A schedule is paused or goes on.",
        ScheduleDelete "schedule-delete" "A schedule is removed.",
        ScheduleTakeBack "schedule-take-back" "A schedule that was far ahead is taken back to now.",
        ScheduleFire "schedule-fire" "A schedule's time has come: its runs are rows.",
        SchedulePauseUnreadable "schedule-pause-unreadable" "A schedule that cannot be read is paused.",
        ScheduleRunAsk "schedule-run-ask" "A run out of turn is asked for.",
        ScheduleBackfill "schedule-backfill" "Runs of past times are asked for.",
        RunDecommissioned "run-decommissioned" "A schedule's run is skipped: its environment is no more.",
        RunBegin "run-begin" "A schedule's run has requested its operation, waits for its turn, or is skipped.",
        RunSkip "run-skip" "A schedule's run that cannot begin is skipped.",
        RunWatch "run-watch" "A schedule's run was looked at: deadlines, attention, its end.",
        RunsExpire "runs-expire" "Old runs of schedules are removed.",
        SessionOpen "session-open" "An agent has a session.",
        SessionHeard "session-heard" "An agent was heard of.",
        InventoryTake "inventory-take" "A page of hooks that an agent reported is stored.",
        CommandsLease "commands-lease" "Commands are leased to an agent.",
        LeasesGiveBack "leases-give-back" "What an agent may not have got is free again.",
        CommandsFinish "commands-finish" "Commands that an agent has carried out are done.",
        FactsTake "facts-take" "Facts about attempts are taken in, with all that follows from them.",
        RegionSilentTell "region-silent-tell" "One operation knows that a region is silent.",
        RegionSilent "region-silent" "A silent region's session is over.",
        TimersClaim "timers-claim" "Timers that are due are this manager's to carry out.",
        TimersHasten "timers-hasten" "Timers that were far ahead are due now.",
        TimerTick "timer-tick" "Time has passed for an operation, with all that follows from it.",
        NothingToChange "nothing-to-change" "A request asked for what is so already; its answer is kept.",
        AnswerKeep "answer-keep" "The answer to a request with a key is kept.",
        AnswersExpire "answers-expire" "Old answers are removed.",
        NotifierBegin "notifier-begin" "A new sink of events begins at the newest event, or is another one than before.",
        NotifierSkip "notifier-skip" "A sink's place has passed events that are not for it.",
        NotifierDeliver "notifier-deliver" "Events' deliveries (or their failures) are noted.",
        SinkReplay "sink-replay" "A sink of events begins elsewhere.",
        SinkForget "sink-forget" "A sink of events is forgotten.",
        LettersRedeliver "letters-redeliver" "Dead letters are to be delivered after all.",
        LettersDiscard "letters-discard" "Dead letters are thrown away.",
        EventTake "event-take" "An event has asked for an operation; whoever sent it is not told.",
        LetterKeep "letter-keep" "A message that was refused is kept; its stream is not told.",
        LetterRetry "letter-retry" "What a refused message asked for is requested after all.",
        LetterDiscard "letter-discard" "Refused messages are thrown away.",
        LetterExpire "letter-expire" "Old refused messages are removed.",
        InboxTell "inbox-tell" "There is attention for messages that are not taken, or no more.",
        HeadsSign "heads-sign" "A head of the audit log's chains is signed.",
        HeadsTell "heads-tell" "There is attention for heads that are not signed or written, or no more.",
        KeyRotate "key-rotate" "The audit log's key is replaced; its file is not yet in place.",
        RoleTake "role-take" "A role among managers is taken or kept.",
        RolesGiveBack "roles-give-back" "Roles are given back at the manager's end.",
        PurgeRemind "purge-remind" "There is attention for an environment that nobody has purged, or no more.",
        RetireBegin "retire-begin" "The moment of a run of retention is kept; nothing is removed yet.",
        RetireDoubt "retire-doubt" "There is attention for a clock by which nothing is removed.",
        RetireEvents "retire-events" "Old events are removed.",
        RetireAttention "retire-attention" "Old attention is removed.",
        RetireOperations "retire-operations" "Rows of old operations are removed; their logs are not yet.",
        RetireNote "retire-note" "The audit log says what was removed.",
        LogsFolderName "logs-folder-name" "The store knows the name of the folder of its logs.",
    }
    Agent {
        TemplateStored "template-stored" "A template is on disk; nobody was told of it.",
        InventoryTold "inventory-told" "The manager has taken in the inventory; what to keep is not yet noted.",
        SessionBegun "session-begun" "The manager has answered the opening of a session.",
        CommandsLeased "commands-leased" "Commands have come; none is carried out.",
        StartNoted "start-noted" "The ledger says, on disk, that an attempt is about to be started.",
        FolderMade "folder-made" "The attempt's folder is made; no process of it runs.",
        ShimStarted "shim-started" "The attempt's process runs; nobody follows it.",
        StartAsked "start-asked" "The executor has answered a start.",
        NeverNoted "never-noted" "The ledger says that an attempt never ran and never will.",
        KillNoted "kill-noted" "The ledger says, on disk, that an attempt is to be killed.",
        KillAsked "kill-asked" "The executor has answered a kill.",
        ReleaseAsked "release-asked" "The executor has let go of an attempt; the ledger does not say so.",
        ReleaseNoted "release-noted" "The ledger says that an attempt is let go of.",
        OrderDone "order-done" "An order is carried out; its command is not reported as done.",
        FinishSynced "finish-synced" "The ledger is on disk; the manager is about to hear which commands are done.",
        FinishTold "finish-told" "The manager has taken in which commands are done.",
        FactNoted "fact-noted" "A fact is in the ledger's file.",
        FactsUnsent "facts-unsent" "Facts are about to be reported.",
        FactsTold "facts-told" "The manager has taken in facts; the ledger does not say so.",
        FactsAcknowledged "facts-acknowledged" "The ledger says that facts are taken in.",
        LogSpooled "log-spooled" "Log text is in the spool.",
        LogsUnsent "logs-unsent" "Log text is about to be reported.",
        LogsTold "logs-told" "The manager has taken in log text; the spool does not know.",
        LogsAcknowledged "logs-acknowledged" "The spool knows that log text is taken in.",
    }
}
