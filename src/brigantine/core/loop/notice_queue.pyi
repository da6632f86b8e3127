from ...pure.loop.notice_queue import NoticeQueue as NoticeQueue
