from transceiver.laneless import DownLane as DownLane, UpLane as UpLane
