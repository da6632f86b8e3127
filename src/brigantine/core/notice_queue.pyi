from ..pure.notice_queue import NoticeQueue as NoticeQueue
